"""Files of a bucket with gcsfs, as people write it for the cloud."""

import gcsfs

files = gcsfs.GCSFileSystem()
with files.open("local/gcsfs/data.csv", "wb") as opened:
    opened.write(b"a,b\n1,2\n")
files.cp("local/gcsfs/data.csv", "local/gcsfs/copy.csv")
files.rm("local/gcsfs/data.csv")
print(files.ls("local/gcsfs"), files.cat("local/gcsfs/copy.csv"))
