"""The clusters of k-means: their file, and the nearest one of each frame.

``clusters.npz`` is read without pickle. Next to it, ``clusters.npz.joblib`` is scikit-learn's object, for fairseq's scripts. A
joblib file is a pickle, and a pickle can run any code when it is read. Of the files of ``learn_kmeans.py``, only the arrays and
the classes that a MiniBatchKMeans consists of are accepted, and scikit-learn's class itself is not called.
"""
import hashlib
import inspect
import io
import json
import pickle
import zipfile

import numpy as np

from open_seq2seq.errors import DataError
from open_seq2seq.files import parsed_json, replaced_file

_ALLOWED = {
    ("numpy", "ndarray"), ("numpy", "dtype"), ("numpy", "float64"), ("numpy", "float32"), ("numpy", "int32"), ("numpy", "int64"),
    ("numpy.core.multiarray", "_reconstruct"), ("numpy.core.multiarray", "scalar"), ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"), ("joblib.numpy_pickle", "NumpyArrayWrapper"), ("_codecs", "encode"),
    ("copyreg", "_reconstructor"), ("builtins", "object"), ("numpy.random._pickle", "__randomstate_ctor"),
    ("numpy.random._pickle", "__bit_generator_ctor"), ("numpy.random._mt19937", "MT19937")}
_MODELS = ("KMeans", "MiniBatchKMeans")


class Clusters:
    """Centroids.

    Args:
      centroids: float32 [K, D].
      description: dict that JSON can store: what was clustered, and how.

    Attributes: the arguments, and
      digest: SHA-256 of the centroids, hexadecimal.
    """

    def __init__(self, centroids, description=None):
        self.centroids = np.ascontiguousarray(centroids, np.float32)
        self.description = dict(description or {})
        self.digest = hashlib.sha256(np.asarray(self.centroids.shape, "<i8").tobytes()
                                     + self.centroids.astype("<f4").tobytes()).hexdigest()
        # in float32 the terms of features far from 0 would be larger than the differences of the distances
        self._origin = self.centroids.mean(0, dtype=np.float64).astype(np.float32)
        centered = self.centroids.astype(np.float64) - self._origin
        self._products = np.concatenate([-2.0 * centered.T, np.square(centered).sum(1)[None]]).astype(np.float32)

    def __len__(self):
        return len(self.centroids)

    @property
    def size(self):
        """Values of a frame, D."""
        return self.centroids.shape[1]

    def nearest(self, features):
        """The nearest cluster of each frame: float32 [frames, D] -> int array [frames].

        One matrix product of what is left after subtracting the mean of the centroids: the squared distance without |x|^2, which
        is the same for all clusters. The last column of the features' matrix is 1, for |C|^2.
        """
        with_one = np.empty([len(features), self.size + 1], np.float32)
        np.subtract(features, self._origin, out=with_one[:, :-1])
        with_one[:, -1] = 1.0
        return (with_one @ self._products).argmin(1)

    def distances(self, features):
        """The squared distance of each frame to the nearest cluster: float64 [frames]."""
        differences = features - self.centroids[self.nearest(features)]
        return np.square(differences, dtype=np.float64).sum(1)

    def save(self, path, model=None):
        """Writes ``path``, and ``path.joblib`` of scikit-learn's ``model``; each write is atomic."""
        if model is not None:
            import joblib
            with replaced_file(path + ".joblib", "wb") as file:
                joblib.dump(model, file)
        with replaced_file(path, "wb") as file:
            np.savez(file, centroids=self.centroids, description=np.array(json.dumps(self.description)))

    @classmethod
    def read(cls, path):
        """Reads the clusters that :meth:`save` or fairseq's ``learn_kmeans.py`` wrote.

        Raises:
          DataError: the file cannot be read, is not one of these, or contains something else.
        """
        try:
            with open(path, "rb") as file:
                content = file.read()
        except OSError as error:
            raise DataError("cannot read the clusters %s: %s. --mode=kmeans writes them" % (path, error.strerror))
        if zipfile.is_zipfile(io.BytesIO(content)):
            centroids, description = _from_npz(path, content)
        else:
            centroids, description = _from_joblib(path, content), {}
        if centroids.ndim != 2 or not centroids.size or centroids.dtype.kind != "f" or not np.isfinite(centroids).all():
            raise DataError("%s has centroids of shape %s and type %s; expected finite floats [clusters, values]" % (
                path, centroids.shape, centroids.dtype))
        return cls(centroids, description)


def _from_npz(path, content):
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            description = parsed_json(str(arrays["description"])) if "description" in arrays.files else {}
            return arrays["centroids"], description
    except (ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
        raise DataError("%s does not have the centroids of --mode=kmeans: %s" % (path, error))


class _Model:
    """Receives the attributes of the pickled model instead of scikit-learn's class."""


def _from_joblib(path, content):
    from joblib import numpy_pickle

    class Reader(numpy_pickle.NumpyUnpickler):
        def find_class(self, module, name):
            if module.startswith("sklearn.cluster.") and name in _MODELS:
                return _Model
            if (module, name) not in _ALLOWED:
                raise DataError("%s is a pickle that refers to %s.%s, which a k-means model does not have. It is not read, "
                                "because a pickle can run any code" % (path, module, name))
            return super().find_class(module, name)

    # newer versions of joblib need this argument
    order = {"ensure_native_byte_order": True} if "ensure_native_byte_order" in inspect.signature(Reader).parameters else {}
    try:
        model = Reader(path, io.BytesIO(content), **order).load()
    except DataError:
        raise
    except (pickle.UnpicklingError, ValueError, EOFError, IndexError, KeyError, TypeError, AttributeError, ImportError,
            UnicodeDecodeError, OverflowError, MemoryError) as error:
        raise DataError("%s holds neither the clusters of --mode=kmeans nor a k-means model of scikit-learn: %s" % (path, error))
    centroids = getattr(model, "cluster_centers_", None)
    if not isinstance(model, _Model) or not isinstance(centroids, np.ndarray):
        raise DataError("%s does not hold a k-means model with cluster_centers_" % path)
    return centroids
