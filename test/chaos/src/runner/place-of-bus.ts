/** Where the bus of a run is: in the service's database, in another one of its server, or on another server. */
export function placeOfBus(seed: number): "the service's database" | 'another database' | 'another server' {
  if (seed % 2 === 0) return "the service's database";
  return seed % 4 === 1 ? 'another database' : 'another server';
}
