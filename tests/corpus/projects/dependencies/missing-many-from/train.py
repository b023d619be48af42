from sklearn.svm import SVC
from bs4 import BeautifulSoup
