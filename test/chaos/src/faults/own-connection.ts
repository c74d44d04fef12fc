import pg from 'pg';

/** A connection of its own to the run's database. Its loss is the fault's affair. */
export async function connectTo(
  connectionString: string,
  database: { readonly pool: pg.Pool },
): Promise<pg.Client> {
  const url = new URL(connectionString);
  url.pathname = new URL(database.pool.options.connectionString as string).pathname;
  const client = new pg.Client({ connectionString: url.href });
  client.on('error', () => {});
  await client.connect();
  return client;
}
