"""Files that are kept between runs, and how damage to them is noticed before they are used."""
