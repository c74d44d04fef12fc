-- Writes into the outbox that scheduled messages are cancelled (action 2) or moved to another time (action 3):
-- the one with an id, or all with a token. The key is the login, with whose rights the relay finds them.
-- Params: change jsonb
-- Returns: none
-- Locks: none but the new row
insert into :schema.outbox (message_id, topic, key, timer_action, timer_token, deliver_at)
select c.id, '', session_user::text, c.action, c.token,
       coalesce(c."deliverAt", clock_timestamp() + c."delayMs"::double precision * interval '1 millisecond')
  from jsonb_to_record($1::jsonb)
    as c (id uuid, action smallint, token text, "deliverAt" timestamptz, "delayMs" bigint);
