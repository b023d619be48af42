"""Names of conda's packages on PyPI, and packages without a counterpart there."""

from __future__ import annotations

import re

PYPI_NAMES = {
    "pytorch": "torch", "pytorch-gpu": "torch", "pytorch-cpu": "torch", "opencv": "opencv-python-headless",
    "py-opencv": "opencv-python-headless", "matplotlib-base": "matplotlib", "seaborn-base": "seaborn",
    "msgpack-python": "msgpack", "pytables": "tables", "python-graphviz": "graphviz", "py-xgboost": "xgboost",
    "py-xgboost-cpu": "xgboost", "py-xgboost-gpu": "xgboost", "dask-core": "dask", "faiss": "faiss-cpu",
    "python-xxhash": "xxhash", "brotli-python": "brotli", "pyqt": "pyqt5", "tensorflow-base": "tensorflow",
    "tensorflow-mkl": "tensorflow", "tensorflow-eigen": "tensorflow", "python-flatbuffers": "flatbuffers",
    "ray-core": "ray", "ray-default": "ray", "python-lmdb": "lmdb", "pyarrow-core": "pyarrow", "keras-gpu": "keras",
}  # fmt: skip
"""PyPI's names by conda's names, where they differ."""

CONDA_ONLY = frozenset(("mkl-service", "mkl-fft", "mkl-random", "mkl_fft", "mkl_random"))
"""Python packages that belong to conda's numpy and that no other package needs."""

_LIBRARIES = frozenset((
    "abseil-cpp", "alsa-lib", "arrow-cpp", "binutils", "blas", "blosc", "boost", "boost-cpp", "brotli-bin", "bzip2",
    "c-ares", "ca-certificates", "cairo", "cfitsio", "charls", "clang", "cmake", "compilers", "conda", "cpuonly",
    "cuda", "cudatoolkit", "cudnn", "curl", "cyrus-sasl", "dav1d", "dbus", "expat", "ffmpeg", "fftw",
    "font-ttf-dejavu-sans-mono", "fontconfig", "freetype", "fribidi", "gcc", "gettext", "gflags", "gfortran", "git",
    "git-lfs", "glib", "glib-tools", "glog", "gmp", "gnutls", "graphite2", "graphviz", "grpc-cpp",
    "gst-plugins-base", "gstreamer", "gxx", "harfbuzz", "hdf4", "hdf5", "icu", "imath", "intel-openmp", "jpeg",
    "jxrlib", "keyutils", "krb5", "lame", "lcms2", "ld_impl_linux-64", "ld_impl_linux-aarch64", "leptonica", "lerc",
    "llvm-openmp", "lz4-c", "make", "mamba", "mkl", "mpc", "mpfr", "mpg123", "mpi", "mysql-common", "mysql-libs",
    "nccl", "ncurses", "nettle", "nodejs", "nomkl", "nspr", "nss", "openblas", "openexr", "openh264", "openjpeg",
    "openjdk", "openmpi", "openssl", "orc", "p11-kit", "pango", "pcre", "pcre2", "perl", "pixman", "pkg-config",
    "pthread-stubs", "pulseaudio-client", "pytorch-cuda", "pytorch-mutex", "qt", "qt-main", "qt-webengine",
    "r-base", "re2", "rdma-core", "readline", "s2n", "sip", "snappy", "sqlite", "swig", "tbb",
    "tensorflow-gpu-base", "tesseract", "tk", "torchtriton", "tzdata", "ucrt", "ucx", "unixodbc", "utf8proc", "vc",
    "vc14_runtime", "vs2015_runtime", "x264", "x265", "xcb-util", "xz", "yaml", "yaml-cpp", "zeromq", "zfp", "zlib",
    "zlib-ng", "zstd",
))  # fmt: skip
_FAMILIES = re.compile(
    r"^(_|lib(?!cst$|linear-official$|rosa$|sass$)|aws-|cuda-|font|gcc_|gfortran_|gxx_|binutils_|kernel-headers|"
    r"m2w64-|mkl-devel|mkl-include|msys2-|r-|sysroot_|xorg-|nvidia-cuda-|cudnn)"
)


def not_on_pypi(name: str) -> str | None:
    """Why a conda package has no counterpart for pip; None if it has or may have one."""
    if name in CONDA_ONLY:
        return "belongs to conda's numpy; PyPI's is built with OpenBLAS"
    if name == "pip":
        return "the image's own pip is used"
    if name in {"torchtriton", "numpy-base"}:
        return f"{'torch' if name == 'torchtriton' else 'numpy'} contains it"
    if name in {"pytorch-cuda", "cpuonly", "pytorch-mutex"}:
        return "chooses the build of torch, which is part of torch's version on PyPI"
    if name in _LIBRARIES or _FAMILIES.match(name):
        return "has no counterpart for pip: wheels contain their libraries"
    return None
