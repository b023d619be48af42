from acme_tools.old import fit
