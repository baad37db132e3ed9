import { createServer } from "node:http";
import { DEMO_HEADERS } from "../envoy/demo.ts";
import { rigConfig, rigServices } from "./services.ts";

/** One tiny HTTP server per target; each answers at once and says who it is. */
for (const { targets } of rigServices(await rigConfig())) {
  for (const { name, port } of targets) {
    const server = createServer((_request, response) => {
      response.writeHead(200, { [DEMO_HEADERS.servedBy]: name }).end();
    });
    server.keepAliveTimeout = 0;
    server.listen(port, "0.0.0.0");
  }
}
