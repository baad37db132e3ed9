/** Where everything of the rig is, as its containers see each other: the names of docker-compose.yml. */
export const FLEET = "rig";
export const NATS = ["nats-1", "nats-2", "nats-3"] as const;
export const CONTROLS = ["control-1", "control-2"] as const;
export const EDGES = ["edge-1", "edge-2"] as const;
export const NATS_PORT = 4222;
export const NATS_ROUTE_PORT = 6222;
export const NATS_MONITOR_PORT = 8222;
export const XDS_PORT = 18_000;
export const API_PORT = 18_001;
export const EDGE_PORT = 10_000;
export const ADMIN_PORT = 9_901;
export const FIRST_BACKEND_PORT = 20_000;
/** DNS name in every control server's certificate, whichever of them answers. */
export const CONTROL_NAME = "control";
/** The volume that `setup` fills and all others read. */
export const FOLDER = "/rig";
