python -u src/train.py \
  --config conf/a.yaml --seed 1
