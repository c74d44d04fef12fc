/** The three services of the shop. Each has its own database, its own logins and its own consumer group. */
export const SERVICES = ['orders', 'inventory', 'payments'] as const;

export type ServiceName = (typeof SERVICES)[number];

export function isServiceName(text: string): text is ServiceName {
  return (SERVICES as readonly string[]).includes(text);
}
