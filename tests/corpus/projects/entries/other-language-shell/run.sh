echo trained
