python fit.py "$@"
