import { setFlagsFromString } from "node:v8";

// As Envoy does: all code is compiled by the optimising compiler before it runs. To be imported before the module is compiled.
setFlagsFromString("--no-liftoff");
