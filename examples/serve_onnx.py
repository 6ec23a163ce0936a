"""Serve an exported classifier over HTTP. It needs ONNX Runtime, NumPy and Pillow, and neither Keras nor a backend.

    keras-convnext export runs/digits-convnext_mini-1 digits.onnx
    python examples/serve_onnx.py digits.onnx --port 8000
    curl --data-binary @photo.jpg http://127.0.0.1:8000/predict

`POST /predict` takes the bytes of a picture and returns its five most likely classes as JSON. `GET /` returns what the
file says about its model. Ctrl-C ends the server after the answers in progress. `--smoke` exports a small model, and
sends one picture to it.
"""

import argparse
import io
import json
import math
import os
import signal
import socket
import sys
import tempfile
import threading
import time
import urllib.request
import warnings
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state
from PIL import Image

KEY = "keras_convnext"
"""The key of the metadata in the file."""

MODES = {1: "L", 3: "RGB"}
"""Pillow's mode of a picture, by the model's number of channels."""

FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
"""The formats that are read, by Pillow's names. It knows more, and starts Ghostscript for one of them."""

TOP = 5
MOST_BYTES = 20 * 2**20
MOST_PIXELS = 50_000_000
MOST_ELONGATED = 100  # times as long as wide; resizing such a picture takes memory by the ratio
SECONDS_TO_READ = 10

ROUTES = {"/predict": ("POST",), "/": ("GET", "HEAD"), "/health": ("GET", "HEAD")}
"""The methods of each path."""

INVALID_FILE = (onnxruntime_pybind11_state.InvalidProtobuf, onnxruntime_pybind11_state.InvalidGraph)
"""What ONNX Runtime raises for a file that is not ONNX."""


class RequestError(Exception):
    """A request that is refused: the status of the answer, and one sentence for the client."""

    def __init__(self, status, sentence):
        super().__init__(sentence)
        self.status = status


class Classifier:
    """An exported classifier. Threads may share it: a session computes for several of them at once.

    Raises:
        ValueError: the file is not such a model.
    """

    def __init__(self, path):
        if not Path(path).is_file():
            raise ValueError(f"{path}: no such file.")
        try:
            self.session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        except INVALID_FILE as error:
            raise ValueError(f"{path}: not an ONNX file.") from error
        stored = self.session.get_modelmeta().custom_metadata_map.get(KEY)
        if stored is None:
            raise ValueError(f"{path}: no metadata in it. Expected a file that `keras-convnext export` wrote.")
        self.metadata = json.loads(stored)
        self.input = self.metadata["input"]
        self.channels = self.input["shape"][1 if self.input["layout"] == "NCHW" else 3]
        if problem := self._problem():
            raise ValueError(f"{path}: {problem}")
        # A decoded picture may take hundreds of megabytes: only as many at a time as there are cores.
        self.turns = threading.BoundedSemaphore(os.cpu_count() or 1)

    def _problem(self):
        """Why pictures cannot be classified with this file; None if they can."""
        (output, *others) = self.session.get_outputs()
        if others or output.name not in ("logits", "probabilities") or len(output.shape) != 2:
            return f"the outputs are {', '.join(self.metadata['outputs'])}. Expected a classifier of whole pictures."
        if self.channels not in MODES:
            return f"the model takes {self.channels} channels, and pictures have 1 or 3."
        if self.input["range"] != [0, 255]:
            return "the model takes normalized images. Export one with include_preprocessing=True."
        if self.input["shape"][0] not in (None, 1):
            return f"exported for batches of {self.input['shape'][0]}. Export it with `--batch 1`, or without --batch."
        if not self.metadata["preprocessing"]:
            return "the file does not say how pictures are resized. Export a run, a checkpoint or a preset."
        return None

    def classify(self, content):
        """The most likely classes of the picture in these bytes, as a list of dicts."""
        with self.turns:
            images = self._images(open_picture(content, MODES[self.channels]))
            ((values,),) = self.session.run(None, {self.input["name"]: images})
        probabilities = values if "probabilities" in self.metadata["outputs"] else softmax(values)
        names = self.metadata["class_names"] or range(len(probabilities))
        best = np.argsort(-probabilities, kind="stable")[:TOP]
        return [
            {"class": str(names[number]), "number": int(number), "probability": float(probabilities[number])}
            for number in best
        ]

    def _images(self, picture):
        """A batch of one picture as the file takes it: as it is, if the file itself resizes and crops."""
        if not self.metadata["in_graph"]:
            picture = resize_and_crop(picture, **self.metadata["preprocessing"])
        image = np.asarray(picture).reshape(picture.height, picture.width, self.channels)
        if self.input["layout"] == "NCHW":
            image = np.moveaxis(image, -1, 0)
        return np.ascontiguousarray(image[None], dtype=self.input["dtype"])


def open_picture(content, mode):
    """Decodes a picture, or raises `RequestError`."""
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            if picture.mode.startswith(("I", "F")):
                raise RequestError(HTTPStatus.BAD_REQUEST, "Expected a picture of 8 bits per channel.")
            if max(picture.size) > MOST_ELONGATED * min(picture.size):
                raise RequestError(
                    HTTPStatus.BAD_REQUEST, f"Expected a picture at most {MOST_ELONGATED} times as long as wide."
                )
            if "transparency" in picture.info:
                picture = picture.convert("RGBA")
            return picture.convert(mode)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise RequestError(HTTPStatus.BAD_REQUEST, f"Expected a picture of at most {MOST_PIXELS} pixels.") from error
    except Image.UnidentifiedImageError as error:
        raise RequestError(HTTPStatus.BAD_REQUEST, "Expected the bytes of a picture, such as JPEG or PNG.") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise RequestError(HTTPStatus.BAD_REQUEST, "The picture is damaged or incomplete.") from error


def resize_and_crop(picture, height, width, crop_pct, squash, interpolation):
    """What `keras_convnext.preprocessing.ResizeAndCrop` does, which has these settings."""
    resized_height, resized_width = math.floor(height / crop_pct), math.floor(width / crop_pct)
    if not squash and resized_height * picture.width >= resized_width * picture.height:
        resized_width = int(resized_height * picture.width / picture.height)
    elif not squash:
        resized_height = int(resized_width * picture.height / picture.width)
    picture = picture.resize((resized_width, resized_height), Image.Resampling[interpolation.upper()])
    left, top = round((resized_width - width) / 2), round((resized_height - height) / 2)
    return picture.crop((left, top, left + width, top + height))


def softmax(logits):
    exponentials = np.exp(logits - logits.max())
    return exponentials / exponentials.sum()


class Handler(BaseHTTPRequestHandler):
    """Answers one request in JSON. An answer without an error has the status 200."""

    protocol_version = "HTTP/1.1"  # clients that ask before they send a large body are answered
    server_version = "keras_convnext"
    timeout = SECONDS_TO_READ

    def do_GET(self):
        path = urlsplit(self.path).path
        try:
            if path not in ROUTES:
                raise RequestError(HTTPStatus.NOT_FOUND, f"The paths are {', '.join(ROUTES)}.")
            if self.command not in ROUTES[path]:
                allowed = " or ".join(ROUTES[path])
                raise RequestError(HTTPStatus.METHOD_NOT_ALLOWED, f"{path} expects the method {allowed}.")
            if path == "/predict":
                self._reply(HTTPStatus.OK, {"predictions": self.server.classifier.classify(self._body())})
            else:
                self._reply(HTTPStatus.OK, self.server.classifier.metadata)
        except RequestError as error:
            headers = {"Allow": ", ".join(ROUTES[path])} if error.status == HTTPStatus.METHOD_NOT_ALLOWED else {}
            self._reply(error.status, {"error": str(error)}, headers)
            self._linger()

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_GET

    def handle_expect_100(self):
        """Answers a client that asks whether it may send its body."""
        try:
            self._length()
        except RequestError as error:
            self._reply(error.status, {"error": str(error)})
            return False
        return super().handle_expect_100()

    def _length(self):
        """The length of the body in bytes."""
        length = self.headers.get("Content-Length")
        if length is None:
            raise RequestError(HTTPStatus.LENGTH_REQUIRED, "Expected the header Content-Length.")
        if not (length.isascii() and length.isdigit()):
            raise RequestError(HTTPStatus.BAD_REQUEST, "Expected a number of bytes in the header Content-Length.")
        if len(length) > 18 or int(length) > MOST_BYTES:
            raise RequestError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"Expected a picture of at most {MOST_BYTES} bytes."
            )
        return int(length)

    def _body(self):
        length = self._length()
        try:
            content = self.rfile.read(length)
        except TimeoutError as error:
            raise RequestError(
                HTTPStatus.REQUEST_TIMEOUT, f"The body did not go on for {SECONDS_TO_READ} seconds."
            ) from error
        if len(content) < length:
            raise RequestError(HTTPStatus.BAD_REQUEST, f"The body ended after {len(content)} of {length} bytes.")
        return content

    def _reply(self, status, answer, headers=None):
        content = json.dumps(answer).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _linger(self):
        """Reads on after a refusal, for a moment: closing at once would cut off a client that is still sending."""
        self.connection.shutdown(socket.SHUT_WR)
        self.connection.settimeout(1)
        end = time.monotonic() + SECONDS_TO_READ
        try:
            while time.monotonic() < end and self.connection.recv(2**16):
                pass
        except TimeoutError:
            pass

    def send_error(self, code, message=None, explain=None):
        """Answers what is not HTTP, or has an unknown method, in JSON as well."""
        self._reply(code, {"error": message or HTTPStatus(code).phrase})


class Server(ThreadingHTTPServer):
    """A thread per request. All of them share one classifier."""

    daemon_threads = False  # closing waits for the answers in progress
    request_queue_size = 128

    def __init__(self, address, classifier):
        super().__init__(address, Handler)
        self.classifier = classifier

    @property
    def url(self):
        host, port = self.server_address[:2]
        return f"http://{host}:{port}"

    def handle_error(self, request, client_address):
        """A client that has gone is no error of the server."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def serve(server):
    """Answers requests until Ctrl-C, or until the process is told to end."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a second Ctrl-C does not wait for the answers in progress
    finally:
        server.server_close()
    print("stopped")


def smoke():
    """Exports a small model, and sends one picture to a server of it. Nothing else in this file imports Keras."""
    from keras_convnext import ConvNeXtClassifier
    from keras_convnext.export import export
    from keras_convnext.preprocessing import ResizeAndCrop

    model = ConvNeXtClassifier.from_preset(
        "convnext_mini", num_classes=10, input_shape=(8, 8, 1), data_format="channels_last"
    )
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # Windows keeps files that are in use
        path = Path(folder, "digits.onnx")
        export(model, path, preprocessing=ResizeAndCrop(8, 8), class_names=[str(digit) for digit in range(10)])
        classifier = Classifier(path)
    server = Server(("127.0.0.1", 0), classifier)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    content = Path(__file__).with_name("three.png").read_bytes()
    with urllib.request.urlopen(f"{server.url}/predict", content, timeout=60) as answer:
        predictions = json.load(answer)["predictions"]
    print("three.png:", ", ".join(f"{one['class']} {one['probability']:.1%}" for one in predictions))
    server.shutdown()
    thread.join()
    server.server_close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", nargs="?", help="an .onnx file that `keras-convnext export` wrote")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1, this machine)")
    parser.add_argument("--port", type=int, default=8000, help="port; 0 chooses a free one (default: 8000)")
    parser.add_argument("--smoke", action="store_true", help="export a small model and send one picture to it")
    args = parser.parse_args()
    Image.MAX_IMAGE_PIXELS = MOST_PIXELS
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    if args.smoke:
        smoke()
        return
    if args.model is None:
        parser.error("give a MODEL.onnx, or --smoke")
    try:
        server = Server((args.host, args.port), Classifier(args.model))
    except (ValueError, OSError, OverflowError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    print(f"{args.model}: {server.url}, Ctrl-C ends it", flush=True)
    serve(server)


if __name__ == "__main__":
    main()
