/**
 * Largest flow from donors to receivers (Edmonds–Karp: shortest augmenting paths by breadth-first search).
 * `supply[d]` and `demand[r]` bound what leaves and arrives, `capacity(d, r)` what goes directly from d to r.
 * Returns flow[d][r]. Deterministic: nodes are tried in index order.
 */
export function largestFlow(
  supply: readonly number[],
  demand: readonly number[],
  capacity: (donor: number, receiver: number) => number,
): number[][] {
  const donors = supply.length;
  const receivers = demand.length;
  const flow = supply.map(() => demand.map(() => 0));
  const supplyLeft = [...supply];
  const demandLeft = [...demand];
  // Nodes: donors 0 … donors − 1, then receivers. A path alternates forward edges (room left) and backward edges (flow > 0).
  for (;;) {
    const cameFrom = new Int32Array(donors + receivers).fill(-2);
    const queue: number[] = [];
    for (let d = 0; d < donors; d++) {
      if (supplyLeft[d]! > 0) {
        cameFrom[d] = -1;
        queue.push(d);
      }
    }
    let end = -1;
    for (let head = 0; head < queue.length && end < 0; head++) {
      const node = queue[head]!;
      if (node < donors) {
        for (let r = 0; r < receivers; r++) {
          if (cameFrom[donors + r] !== -2 || flow[node]![r]! >= capacity(node, r)) continue;
          cameFrom[donors + r] = node;
          if (demandLeft[r]! > 0) {
            end = donors + r;
            break;
          }
          queue.push(donors + r);
        }
      } else {
        for (let d = 0; d < donors; d++) {
          if (cameFrom[d] !== -2 || flow[d]![node - donors]! === 0) continue;
          cameFrom[d] = node;
          queue.push(d);
        }
      }
    }
    if (end < 0) return flow;
    let amount = demandLeft[end - donors]!;
    let node = end;
    for (; cameFrom[node]! >= 0; node = cameFrom[node]!) {
      const from = cameFrom[node]!;
      const room =
        node >= donors ? capacity(from, node - donors) - flow[from]![node - donors]! : flow[node]![from - donors]!;
      amount = Math.min(amount, room);
    }
    amount = Math.min(amount, supplyLeft[node]!);
    supplyLeft[node]! -= amount;
    demandLeft[end - donors]! -= amount;
    for (node = end; cameFrom[node]! >= 0; node = cameFrom[node]!) {
      const from = cameFrom[node]!;
      if (node >= donors) flow[from]![node - donors]! += amount;
      else flow[node]![from - donors]! -= amount;
    }
  }
}
