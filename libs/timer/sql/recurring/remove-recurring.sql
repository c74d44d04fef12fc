-- Removes a recurring message and its timer; one that is being fired is skipped.
-- Params: name text
-- Returns: name text
with gone as (
  delete from :schema.recurring_message r where r.name = $1 returning r.name
), run as (
  select t.slot, t.due_at, t.id from :schema.timer t
    join gone g on t.token = g.name
   where t.kind = 2 for update of t skip locked
), removed as (
  delete from :schema.timer t using run r where t.slot = r.slot and t.due_at = r.due_at and t.id = r.id
)
select g.name from gone g;
