import numpy
import tqdm
import yaml
