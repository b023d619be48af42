import ruamel.yaml
