/**
 * Queries of the demo, by its own login: only the reconciliation reads all services. Rows of inventory and payments are
 * read in their databases, and passed as JSON to the queries that compare them with the orders.
 */

/** The progress of orders. $1: topics of events, one per subscriber. */
export const PROGRESS = `
select
  (select count(*) from orders.customer_order)::int as placed,
  (select count(*) from orders.customer_order where status = 'CONFIRMED')::int as confirmed,
  (select count(*) from orders.customer_order where status = 'REJECTED')::int as rejected,
  (select count(*) from orders.customer_order where status in ('PLACED', 'CANCELLING'))::int as "openOrders",
  (select count(*) from orders.return_note where status = 'REFUNDED')::int as refunded,
  (select count(*) from orders.return_note where status <> 'REFUNDED')::int as "openReturns",
  (select count(*) from orders.published_message join unnest($1::text[]) as s (topic) using (topic))::int as published`;

/** What inventory has made of events. */
export const HANDLED = `select count(distinct message_id)::int as handled from inventory.effect`;

/** What a service's own part of Waybill has still to do, or has set aside. */
export const SERVICE_STATE = `
select
  (select count(*) from waybill.dead_letter where state = 'open')::int as "deadLetters",
  (select count(*) from waybill.dead_letter where state = 'redriven')::int as redriven,
  (select count(*) from waybill.delivery_mark where verdict = 3)::int as parked,
  (select count(*) from waybill.saga)::int as sagas,
  (select count(*) from waybill.half_message)::int as halves`;

/** The records of the log. $1: topics of events. */
export const LOG = `
select
  (select coalesce(sum(record_count), 0) from waybill_bus.log_batch)::int as messages,
  (select coalesce(sum(b.record_count), 0)
     from waybill_bus.log_batch b
     join waybill_bus.topic_partition p on p.id = b.partition_id
     join waybill_bus.topic t on t.id = p.topic_id
    where t.name = any ($1::text[]))::int as "eventRecords"`;

/** Effects of events in inventory. */
export const EFFECTS = `
select id, message_id, topic, partition, log_offset, key, processed_at::text as processed_at from inventory.effect`;

/** The steps that inventory has taken. */
export const INVENTORY_STEPS = `
select saga_id, invoice_no, step, op, recorded_at::text as recorded_at from inventory.step_effect`;

/** Parcels. */
export const SHIPMENTS = `select invoice_no, dispatched_at::text as dispatched_at from inventory.shipment`;

/** Levels of articles, and the movements that led to them. */
export const LEVELS = `select sku, starting_level, level from inventory.stock`;
export const MOVEMENTS = `select sku, quantity, reason, invoice_no from inventory.stock_movement`;

/** Every charge and refund of the ledger. */
export const LEDGER = `
select kind, method, invoice_no, amount_pence::float8 as amount_pence, reference from payments.ledger_entry`;

/** The steps that payments has taken. */
export const PAYMENT_STEPS = `
select saga_id, invoice_no, step, op, recorded_at::text as recorded_at from payments.step_effect`;

/** Events against effects. $1 and $2: topics and the services that subscribe to them, pair by pair. $3: the effects. */
export const DELIVERY = `
with subscription as (select * from unnest($1::text[], $2::text[]) as s (topic, service)),
  expected as (
    select p.message_id, p.topic, p.key, p.published_at, s.service
      from orders.published_message p join subscription s using (topic)
  ),
  effect as (
    select 'inventory' as service, e.*
      from json_to_recordset($3::json)
        as e (id bigint, message_id text, topic text, partition int, log_offset bigint, key text, processed_at timestamptz)
  ),
  counted as (
    select x.service, x.message_id, count(e.id) as effects
      from expected x left join effect e on e.service = x.service and e.message_id = x.message_id
     group by x.service, x.message_id
  ),
  ordered as (
    select log_offset, lag(log_offset) over (partition by service, topic, partition, key order by id) as before
      from effect
  ),
  latency as (
    select extract(epoch from min(e.processed_at) - min(x.published_at)) * 1000 as ms
      from expected x join effect e on e.service = x.service and e.message_id = x.message_id
     group by x.service, x.message_id
  )
select
  (select count(*) from orders.published_message)::int as published,
  (select count(*) from counted where effects = 0)::int as "missingEffects",
  (select coalesce(sum(effects - 1) filter (where effects > 1), 0) from counted)::int as "doubleEffects",
  (select count(*) from effect e
    where not exists (select from expected x where x.service = e.service and x.message_id = e.message_id))::int
    as "strayEffects",
  (select count(*) from ordered where log_offset <= before)::int as "outOfOrder",
  (select coalesce(percentile_cont(0.5) within group (order by ms), 0) from latency)::float8 as "p50Ms",
  (select coalesce(percentile_cont(0.99) within group (order by ms), 0) from latency)::float8 as "p99Ms"`;

/**
 * Compares steps that took effect with the outcomes: what must have happened for an outcome has happened once; of a
 * rejected order everything is undone; and one came after the other, by the clocks of the databases. $1: the steps of
 * inventory and payments.
 */
export const STEPS = `
with step as (
    select saga_id, invoice_no, step, op, recorded_at from orders.step_effect
    union all
    select saga_id, invoice_no, step, op, recorded_at
      from json_to_recordset($1::json)
        as p (saga_id text, invoice_no text, step text, op text, recorded_at timestamptz)
  ),
  -- Where a step comes in the course of an order, and whether it must be there for the outcome, or may.
  rule (outcome, step, op, place, must) as (values
    ('sold', 'accept', 'action', 1, true), ('sold', 'reserve', 'action', 2, true), ('sold', 'open', 'action', 3, true),
    ('sold', 'charge', 'action', 4, true), ('sold', 'book', 'action', 5, false), ('sold', 'ship', 'action', 6, true),
    ('sold', 'confirm', 'action', 7, true),
    ('rejected', 'accept', 'action', 1, true), ('rejected', 'reserve', 'action', 2, false),
    ('rejected', 'open', 'action', 3, false), ('rejected', 'charge', 'action', 4, false),
    ('rejected', 'book', 'action', 5, false), ('rejected', 'open', 'compensate', 8, false),
    ('rejected', 'reserve', 'compensate', 9, false), ('rejected', 'accept', 'compensate', 10, true),
    ('back', 'take-back', 'action', 11, true), ('back', 'refund', 'action', 12, true), ('back', 'close', 'action', 13, true)
  ),
  outcome as (
    select invoice_no, case status when 'REJECTED' then 'rejected' else 'sold' end as outcome
      from orders.customer_order where status <> 'PLACED'
    union all select invoice_no, 'back' from orders.customer_order where status = 'REFUNDED'
    union all select invoice_no, 'back' from orders.return_note where status = 'REFUNDED'
  ),
  taken as (select invoice_no, step, op, count(*) as times from step group by invoice_no, step, op),
  due as (
    select o.invoice_no, r.step, r.op from outcome o join rule r using (outcome) where r.must
    union
    -- What a rejected order has done is undone, and nothing else is. The charge is undone with the payment.
    select t.invoice_no, t.step, case t.op when 'action' then 'compensate' else 'action' end
      from taken t join outcome o on o.invoice_no = t.invoice_no and o.outcome = 'rejected'
     where t.step in ('reserve', 'open')
    union
    select t.invoice_no, 'open', 'action'
      from taken t join outcome o on o.invoice_no = t.invoice_no and o.outcome = 'rejected' where t.step = 'charge'
  ),
  placed as (
    select distinct s.invoice_no, s.recorded_at, r.place
      from step s join outcome o using (invoice_no)
      join rule r on r.outcome = o.outcome and r.step = s.step and r.op = s.op
  ),
  ordered as (
    select recorded_at, place, max(recorded_at) over (
             partition by invoice_no order by place range between unbounded preceding and 1 preceding) as before
      from placed
  )
select
  (select count(*) from due where not exists (
     select from taken t where t.invoice_no = due.invoice_no and t.step = due.step and t.op = due.op))::int
    as "missingSteps",
  (select coalesce(sum(times - 1), 0) from taken)::int as "doubleSteps",
  (select count(*) from taken t where not exists (
     select from outcome o join rule r using (outcome)
      where o.invoice_no = t.invoice_no and r.step = t.step and r.op = t.op))::int as "straySteps",
  (select count(*) from ordered where recorded_at < before)::int as "stepsOutOfOrder"`;

/**
 * Compares orders and returns with the ledger, $1, and the parcels, $2: each outcome once, each charge and refund once
 * and of the exact amount.
 */
export const MONEY = `
with document as (
    select invoice_no, total_pence, status,
           status in ('CONFIRMED', 'CANCELLING', 'REFUNDED') as charged, status = 'REFUNDED' as refunded
      from orders.customer_order
    union all
    select invoice_no, total_pence, status, false, status = 'REFUNDED' from orders.return_note
  ),
  entry as (
    select * from json_to_recordset($1::json) as l (kind text, invoice_no text, amount_pence bigint)
  ),
  ledger as (
    select invoice_no,
           count(*) filter (where kind = 'CHARGE') as charges,
           coalesce(sum(amount_pence) filter (where kind = 'CHARGE'), 0) as charged_pence,
           count(*) filter (where kind = 'REFUND') as refunds,
           coalesce(sum(amount_pence) filter (where kind = 'REFUND'), 0) as refunded_pence
      from entry group by invoice_no
  ),
  account as (
    select d.*, l.invoice_no is not null and d.invoice_no is null as stray,
           -- A rejected order has paid and got it back, or has done neither.
           coalesce(d.charged, false) or (d.status = 'REJECTED' and l.charges > 0) as must_charge,
           coalesce(d.refunded, false) or (d.status = 'REJECTED' and l.charges > 0) as must_refund,
           coalesce(l.charges, 0) as charges, coalesce(l.charged_pence, 0) as charged_pence,
           coalesce(l.refunds, 0) as refunds, coalesce(l.refunded_pence, 0) as refunded_pence
      from document d full join ledger l using (invoice_no)
  ),
  outcome as (
    select invoice_no, count(*) as outcomes from orders.order_transition
     where to_status in ('CONFIRMED', 'REJECTED') group by invoice_no
  ),
  parcel as (
    select invoice_no, count(*) as parcels, count(dispatched_at) as dispatched
      from json_to_recordset($2::json) as s (invoice_no text, dispatched_at timestamptz) group by invoice_no
  )
select
  (select coalesce(sum(charged_pence), 0) from account where status is distinct from 'REJECTED')::float8
    as "chargedPence",
  (select coalesce(sum(refunded_pence), 0) from account where status is distinct from 'REJECTED')::float8
    as "refundedPence",
  (select coalesce(sum(refunded_pence), 0) from account where status = 'REJECTED')::float8 as "undonePence",
  (select count(*) from document where status in ('PLACED', 'CANCELLING', 'RETURNED'))::int as "missingOutcomes",
  (select coalesce(sum(outcomes - 1), 0) from outcome)::int as "doubleOutcomes",
  (select coalesce(sum(greatest(charges - 1, 0) + greatest(refunds - 1, 0)), 0) from account)::int
    as "doublePayments",
  (select count(*) from account
    where stray or charges <> must_charge::int or charged_pence <> must_charge::int * total_pence)::int as "wrongCharges",
  (select count(*) from orders.customer_order where rejection like '%step transfer%')::int as unpaid,
  (select count(*) from account
    where stray or refunds <> must_refund::int or refunded_pence <> must_refund::int * total_pence)::int
    as "wrongRefunds",
  (select count(*) from document d full join parcel p using (invoice_no)
    where coalesce(p.parcels, 0) <> coalesce(d.charged, false)::int
       or coalesce(p.dispatched, 0) <> coalesce(d.charged, false)::int)::int as "wrongShipments"`;

/**
 * Compares levels with orders and returns: start minus sold plus returned. $1 is the codes that are not stocked, $2 the
 * levels, $3 the movements.
 */
export const STOCK = `
with sold as (
    select l.sku, sum(l.quantity) as pieces
      from orders.order_line l join orders.customer_order o using (invoice_no)
     where o.status in ('CONFIRMED', 'CANCELLING') group by l.sku
  ),
  returned as (
    select l.sku, sum(l.quantity) as pieces
      from orders.return_line l join orders.return_note r using (invoice_no)
     where r.status = 'REFUNDED' group by l.sku
  ),
  stock as (select * from json_to_recordset($2::json) as s (sku text, starting_level bigint, level bigint)),
  movement as (
    select * from json_to_recordset($3::json) as m (sku text, quantity bigint, reason text, invoice_no text)
  ),
  moved as (select sku, sum(quantity) as pieces from movement group by sku),
  article as (
    select sku, s.starting_level, s.level,
           s.starting_level - coalesce(o.pieces, 0) + coalesce(r.pieces, 0) as due,
           s.starting_level + coalesce(m.pieces, 0) as moved
      from stock s
      full join (select * from sold where sku <> all ($1::text[])) o using (sku)
      full join (select * from returned where sku <> all ($1::text[])) r using (sku)
      left join moved m using (sku)
  )
select
  count(*)::int as articles,
  (select coalesce(sum(pieces), 0) from sold)::float8 as sold,
  (select coalesce(sum(pieces), 0) from returned)::float8 as returned,
  count(*) filter (where level is null or level is distinct from due or level is distinct from moved)::int as "wrongLevels",
  (select coalesce(sum(n - 1), 0)
     from (select count(*) as n from movement group by invoice_no, sku, reason) d)::int
    as "doubleMovements"
from article`;

/** Every order and return with its total, for comparison with the file. */
export const INVOICES = `
select invoice_no as "invoiceNo", total_pence::float8 as "totalPence" from orders.customer_order
union all
select invoice_no, total_pence::float8 from orders.return_note`;
