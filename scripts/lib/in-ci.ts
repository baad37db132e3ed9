/** Whether this runs in CI, where what is missing fails and does not skip. An empty variable counts as none. */
export function inCi(env: NodeJS.ProcessEnv): boolean {
  return (env.CI ?? "") !== "";
}
