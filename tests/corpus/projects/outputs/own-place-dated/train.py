import datetime
import os

folder = datetime.datetime.now().strftime('run_%Y%m%d_%H%M%S')
os.makedirs(folder)
open(f'{folder}/model.bin', 'wb').write(b'1')
