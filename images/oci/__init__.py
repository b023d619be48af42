"""OCI images as the specification describes them: references, descriptors, configs, the layout folder."""
