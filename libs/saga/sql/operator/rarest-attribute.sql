-- Of several attributes, the one that the fewest sagas have, counted up to 1,000: by its place, from 1.
-- Params: names text[], values text[]
-- Returns: place integer
-- Index: saga_attribute_value
select w.place::integer as place
  from unnest($1::text[], $2::text[]) with ordinality as w (name, value, place)
 cross join lateral (
   select count(*) as sagas
     from (select from :schema.saga_attribute a where a.name = w.name and a.value = w.value limit 1000) f) c
 order by c.sagas, w.place
 limit 1;
