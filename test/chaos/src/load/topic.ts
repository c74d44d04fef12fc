/** The topic of the load. */
export const TOPIC = 'chaos.orders';
/** The topic of messages that are due later. */
export const LATER_TOPIC = 'chaos.later';
/** The topic of half messages. */
export const HALF_TOPIC = 'chaos.halves';
/** The service that runs the sagas: the group of its consumer. */
export const SAGA_GROUP = 'chaos-sagas';
