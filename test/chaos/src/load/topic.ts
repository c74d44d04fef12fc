/** The topic of the load. */
export const TOPIC = 'chaos.orders';
