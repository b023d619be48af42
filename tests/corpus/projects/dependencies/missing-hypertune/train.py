import hypertune
