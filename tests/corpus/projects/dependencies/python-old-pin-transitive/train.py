import acme_kit
