/**
 * Where the native TensorFlow library comes from, one row a platform, everything pinned by SHA-256.
 *
 * The library inside TensorFlow's Python wheel has the C interface that the addon of `@tensorflow/tfjs-node` is written
 * against. The wheel's Python tag does not matter: nothing of Python is used, so one wheel a platform is enough.
 */

/** A wheel of a Python package index, fetched with the person's own pip and its settings. */
export interface Wheel {
  readonly requirement: string;
  readonly platform: string;
  readonly sha256: string;
  readonly megabytes: number;
}

/** The archive of TensorFlow's C library that `@tensorflow/tfjs-node` itself would fetch. */
export interface Archive {
  readonly url: string;
  readonly sha256: string;
}

interface LibrarySource {
  readonly version: string;
  /** File names of the libraries, in the order in which they are linked. */
  readonly libraries: readonly string[];
}

export interface PlatformSources {
  readonly wheel: LibrarySource & { readonly package: Wheel };
  /** Tried where the wheel cannot be had. */
  readonly official: LibrarySource & { readonly archive: Archive };
  /** A C++ compiler out of the package index, for machines without one. */
  readonly zig?: Wheel;
}

const LINUX_WHEEL = ["libtensorflow_cc.so.2", "libtensorflow_framework.so.2"];
const LINUX_OFFICIAL = ["libtensorflow.so.2", "libtensorflow_framework.so.2"];
const MACOS_WHEEL = ["libtensorflow_cc.2.dylib", "libtensorflow_framework.2.dylib"];
const MACOS_OFFICIAL = ["libtensorflow.2.dylib", "libtensorflow_framework.2.dylib"];
const STORAGE = "https://storage.googleapis.com";

/** Keys are `${process.platform}-${process.arch}`. */
export const SOURCES: Readonly<Record<string, PlatformSources>> = {
  "linux-x64": {
    wheel: {
      version: "2.18.1",
      libraries: LINUX_WHEEL,
      package: {
        requirement: "tensorflow-cpu==2.18.1",
        platform: "manylinux_2_17_x86_64",
        sha256: "810c75d7149d2da0cb2092187817b0dcabb80728ca9f9cf3a61f3f42fadd1298",
        megabytes: 230,
      },
    },
    official: {
      version: "2.9.1",
      libraries: LINUX_OFFICIAL,
      archive: {
        url: `${STORAGE}/tensorflow/libtensorflow/libtensorflow-cpu-linux-x86_64-2.9.1.tar.gz`,
        sha256: "7f510d2546e3db5e10b1d119463689003d587842892ad3c95bca51cf82820173",
      },
    },
    zig: {
      requirement: "ziglang==0.17.0",
      platform: "manylinux2014_x86_64",
      sha256: "97079827064a7492cce5541ceb438ae8003ce1e54e399676da2d62fb7a5dc08b",
      megabytes: 101,
    },
  },
  "linux-arm64": {
    wheel: {
      version: "2.18.1",
      libraries: LINUX_WHEEL,
      package: {
        requirement: "tensorflow==2.18.1",
        platform: "manylinux_2_17_aarch64",
        sha256: "8a6485edd2148f70d011dbd1d8dc2c775e91774a5a159466e83d0d1f21580944",
        megabytes: 232,
      },
    },
    official: {
      version: "2.7",
      libraries: LINUX_OFFICIAL,
      archive: {
        url: `${STORAGE}/tf-builds/libtensorflow_r2_7_linux_arm64.tar.gz`,
        sha256: "9395d1ff39f5b6847f5121e679ff4e599dc7061a2a7f87ceac061c78e908e6e3",
      },
    },
    zig: {
      requirement: "ziglang==0.17.0",
      platform: "manylinux2014_aarch64",
      sha256: "d2804f94f54f7fcf8169f4b212a619ad688a4e2e6592e976f0cf2e58e2cd8af3",
      megabytes: 101,
    },
  },
  "darwin-arm64": {
    wheel: {
      version: "2.18.1",
      libraries: MACOS_WHEEL,
      package: {
        requirement: "tensorflow==2.18.1",
        platform: "macosx_12_0_arm64",
        sha256: "661029cd769b311db910b79a3a6ef50a5a61ecc947172228c777a49989722508",
        megabytes: 240,
      },
    },
    official: {
      version: "2.7",
      libraries: MACOS_OFFICIAL,
      archive: {
        url: `${STORAGE}/tf-builds/libtensorflow_r2_7_darwin_arm64_cpu.tar.gz`,
        sha256: "13ab22b97e2af06e431aaeb7b42fb89981965dd01aa16da035d8210aa4183d79",
      },
    },
  },
  "darwin-x64": {
    wheel: {
      version: "2.16.2",
      libraries: MACOS_WHEEL,
      package: {
        requirement: "tensorflow==2.16.2",
        platform: "macosx_10_15_x86_64",
        sha256: "ec06570d57bfa0e2be804405e3cdc2960e94887e7619ffb6bc053e9775b695aa",
        megabytes: 260,
      },
    },
    official: {
      version: "2.9.1",
      libraries: MACOS_OFFICIAL,
      archive: {
        url: `${STORAGE}/tensorflow/libtensorflow/libtensorflow-cpu-darwin-x86_64-2.9.1.tar.gz`,
        sha256: "56f83d3320ba0f69aaafd6c058645e1b7fbc75fb9a3fc36d6be98de1291ca226",
      },
    },
  },
};
