"""Pushes an image of nothing into the registry at the address and by the name that it is given; prints its digest."""

import hashlib
import json
import sys
import urllib.request

address, name = sys.argv[1:]


def send(method, url, body=b"", kind="application/octet-stream"):
    request = urllib.request.Request(url, body, {"Content-Type": kind}, method=method)
    return urllib.request.urlopen(request)


def digest(blob):
    return "sha256:" + hashlib.sha256(blob).hexdigest()


config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}).encode()
upload = send("POST", f"http://{address}/v2/{name}/blobs/uploads/").headers["Location"]
send("PUT", f"{upload}&digest={digest(config)}", config)
kind = "application/vnd.oci.image.manifest.v1+json"
described = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(config), "size": len(config)}
manifest = json.dumps({"schemaVersion": 2, "mediaType": kind, "config": described, "layers": []}).encode()
send("PUT", f"http://{address}/v2/{name}/manifests/{digest(manifest)}", manifest, kind)
print(digest(manifest))
