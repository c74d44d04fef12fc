/**
 * What the demo asks the database, by its own login: only the reconciliation looks into all three services.
 * In every query $1 and $2 are the topics and the services that subscribe to them, pair by pair.
 */
const WITNESSES = `
  subscription as (select * from unnest($1::text[], $2::text[]) as s (topic, service)),
  published as (
    select message_id, topic, key, published_at from orders.published_message
    union all select message_id, topic, key, published_at from inventory.published_message
    union all select message_id, topic, key, published_at from payments.published_message
  ),
  expected as (select p.*, s.service from published p join subscription s using (topic)),
  effect as (
    select 'orders' as service, e.* from orders.effect e
    union all select 'inventory', e.* from inventory.effect e
    union all select 'payments', e.* from payments.effect e
  )`;

/** How far things are. `lag` is the number of effects that are still to come. */
export const PROGRESS = `
with ${WITNESSES}
select
  (select count(*) from orders.customer_order)::int as placed,
  (select count(*) from orders.customer_order where status = 'CONFIRMED')::int as confirmed,
  (select count(*) from orders.customer_order where status = 'REJECTED')::int as rejected,
  (select count(*) from orders.customer_order where status in ('PLACED', 'CANCELLING'))::int as "openOrders",
  (select count(*) from orders.return_note where status = 'REFUNDED')::int as refunded,
  (select count(*) from orders.return_note where status <> 'REFUNDED')::int as "openReturns",
  (select count(*) from waybill.dead_letter where state = 'open')::int as "deadLetters",
  (select count(*) from expected)::int - (select count(distinct (service, message_id)) from effect)::int as lag`;

/** Messages against effects. */
export const DELIVERY = `
with ${WITNESSES},
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
     -- Neither what was published for later, nor what waited for an operator, says how long messages take.
     where x.topic <> 'orders.payment-due'
       and (x.topic, x.key) not in (select topic, coalesce(key, '') from waybill.dead_letter)
     group by x.service, x.message_id
  )
select
  (select coalesce(sum(record_count), 0) from waybill.log_batch)::int as messages,
  (select count(*) from published)::int as published,
  (select count(*) from counted where effects = 0)::int as "missingEffects",
  (select coalesce(sum(effects - 1) filter (where effects > 1), 0) from counted)::int as "doubleEffects",
  (select count(*) from effect e
    where not exists (select from expected x where x.service = e.service and x.message_id = e.message_id))::int
    as "strayEffects",
  (select count(*) from ordered where log_offset <= before)::int as "outOfOrder",
  (select count(*) from waybill.dead_letter where state = 'open')::int as "deadLetters",
  (select count(*) from waybill.dead_letter where state = 'redriven')::int as redriven,
  (select count(*) from waybill.delivery_mark where verdict = 3)::int as parked,
  (select coalesce(percentile_cont(0.5) within group (order by ms), 0) from latency)::float8 as "p50Ms",
  (select coalesce(percentile_cont(0.99) within group (order by ms), 0) from latency)::float8 as "p99Ms"`;

/** Orders and returns against the ledger: each outcome once, each charge and refund once and of the exact amount. */
export const MONEY = `
with document as (
    select invoice_no, total_pence, status,
           status in ('CONFIRMED', 'CANCELLING', 'REFUNDED') as charged, status = 'REFUNDED' as refunded
      from orders.customer_order
    union all
    select invoice_no, total_pence, status, false, status = 'REFUNDED' from orders.return_note
  ),
  ledger as (
    select invoice_no,
           count(*) filter (where kind = 'CHARGE') as charges,
           coalesce(sum(amount_pence) filter (where kind = 'CHARGE'), 0) as charged_pence,
           count(*) filter (where kind = 'REFUND') as refunds,
           coalesce(sum(amount_pence) filter (where kind = 'REFUND'), 0) as refunded_pence
      from payments.ledger_entry group by invoice_no
  ),
  account as (
    select d.*, l.invoice_no is not null and d.invoice_no is null as stray,
           coalesce(l.charges, 0) as charges, coalesce(l.charged_pence, 0) as charged_pence,
           coalesce(l.refunds, 0) as refunds, coalesce(l.refunded_pence, 0) as refunded_pence
      from document d full join ledger l using (invoice_no)
  ),
  outcome as (
    select invoice_no, count(*) as outcomes from orders.order_transition
     where to_status in ('CONFIRMED', 'REJECTED') group by invoice_no
  )
select
  (select coalesce(sum(charged_pence), 0) from account)::float8 as "chargedPence",
  (select coalesce(sum(refunded_pence), 0) from account)::float8 as "refundedPence",
  (select count(*) from document where status in ('PLACED', 'CANCELLING', 'RETURNED'))::int as "missingOutcomes",
  (select coalesce(sum(outcomes - 1), 0) from outcome)::int as "doubleOutcomes",
  (select coalesce(sum(greatest(charges - 1, 0) + greatest(refunds - 1, 0)), 0) from account)::int
    as "doublePayments",
  (select count(*) from account
    where stray or charges <> charged::int or charged_pence <> charged::int * total_pence)::int as "wrongCharges",
  (select count(*) from orders.customer_order where rejection = 'the payment did not come')::int as unpaid,
  (select count(*) from account
    where stray or refunds <> refunded::int or refunded_pence <> refunded::int * total_pence)::int as "wrongRefunds"`;

/** Levels against orders and returns: start minus sold plus returned. $1 is the codes that are not stocked. */
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
  moved as (select sku, sum(quantity) as pieces from inventory.stock_movement group by sku),
  article as (
    select sku, s.starting_level, s.level,
           s.starting_level - coalesce(o.pieces, 0) + coalesce(r.pieces, 0) as due,
           s.starting_level + coalesce(m.pieces, 0) as moved
      from inventory.stock s
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
     from (select count(*) as n from inventory.stock_movement group by invoice_no, sku, reason) d)::int
    as "doubleMovements"
from article`;

/** How often the ledger says that an order was charged. */
export const CHARGES = `
select invoice_no as "invoiceNo", count(*)::int as charges
  from payments.ledger_entry where kind = 'CHARGE' group by invoice_no`;

/** Every order and return with its total, to be held against the file. */
export const INVOICES = `
select invoice_no as "invoiceNo", total_pence::float8 as "totalPence" from orders.customer_order
union all
select invoice_no, total_pence::float8 from orders.return_note`;
