/** The topic of the load. */
export const TOPIC = 'chaos.orders';
/** The topic of messages that are due later. */
export const LATER_TOPIC = 'chaos.later';
