-- What makes publishing cheaper.

-- As before; ordinary messages are recognised first.
create or replace function :schema.admit_outbox_row() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  problem text;
begin
  -- An ordinary message. The long expression below would be prepared for each transaction, which costs more than its result.
  if new.headers is null and new.control is null and new.timer_action is null and new.deliver_at is null
     and new.timer_token is null and new.expires_at_ms is null and new.signature is null and new.partition_number is null
     and new.id = currval(':schema.outbox_id') and new.xid = pg_current_xact_id()
     and new.created_at <= clock_timestamp() + interval '1 hour' and new.published_by = session_user::text
     and new.topic ~ '^[A-Za-z0-9_-][A-Za-z0-9._-]{0,248}$'
     and (new.key is null or octet_length(new.key) <= 4096)
     and (new.payload is null or octet_length(new.payload) <= 67108864) then
    return new;
  end if;
  problem := case
    when new.id is distinct from currval(':schema.outbox_id') or new.xid is distinct from pg_current_xact_id()
         or new.created_at is null or new.created_at > clock_timestamp() + interval '1 hour'
         or new.published_by is distinct from session_user::text
      then 'id, xid, created_at and published_by must keep their defaults, and one of them was given another value'
    when new.timer_action > 1 and new.topic <> '' then 'a row that changes timers must not name a topic'
    when coalesce(new.timer_action, 1) = 1
         and (length(new.topic) not between 1 and 249 or new.topic ~ '[^A-Za-z0-9._-]' or new.topic in ('.', '..'))
      then 'the name of its topic must be 1 to 249 characters of A-Z a-z 0-9 . _ -, and not "." or ".."'
    when new.partition_number not between 0 and 4095
      then format('its partition must be from 0 to 4095, got %s', new.partition_number)
    when octet_length(new.key) > 4096
      then format('its key has %s bytes; the limit is 4096', octet_length(new.key))
    when octet_length(new.payload) > 67108864
      then format('its payload has %s bytes; the limit is 67108864', octet_length(new.payload))
    when new.expires_at_ms not between 0 and 253402300799999 or char_length(new.signature) > 400
         or new.control is not null and (jsonb_typeof(new.control) <> 'object' or pg_column_size(new.control) > 16384
              or new.control @? '$.keyvalue() ? (!(@.key like_regex "^waybill-[!-~]+$") || @.value.type() != "string")')
      then 'a column that only Waybill writes (control, expires_at_ms, signature) is malformed'
    when new.headers is null then null
    when jsonb_typeof(new.headers) <> 'object' then 'its headers must be an object of names and strings'
    when new.headers @? 'strict $.* ? (@.type() != "string")' then 'a header is not a string'
    when new.headers::text ~* '"waybill-' and new.headers @? '$.keyvalue() ? (@.key like_regex "^waybill-" flag "i")'
      then 'header names that begin with waybill- are reserved'
    when new.headers ? '' or new.headers @? '$.keyvalue() ? (@.key like_regex "[^!-~]")'
      then 'a header name must be 1 to 256 visible ASCII characters'
    when new.headers @? '$.* ? (@ like_regex "[\\u0001-\\u0008\\u000a-\\u001f\\u007f-\\u009f]")'
      then 'a header contains control characters'
  end;
  if problem is null and pg_column_size(new.headers || '{}') > 256 then
    problem := (
      select case
        when count(*) > 64 then format('it has %s headers; the limit is 64', count(*))
        when max(length(h.key)) > 256 then 'a header name must be 1 to 256 visible ASCII characters'
        when sum(octet_length(h.key) + octet_length(h.value)) > 16384
          then format('its headers have %s bytes; the limit is 16384', sum(octet_length(h.key) + octet_length(h.value)))
      end from jsonb_each_text(new.headers) h);
  end if;
  if problem is null and (new.timer_action is not null or new.deliver_at is not null or new.timer_token is not null) then
    problem := case
      when new.timer_action is null then 'it has a time or a token but no timer_action'
      when new.timer_action = 2 and new.deliver_at is not null then 'it cancels timers but has a time'
      when new.timer_action <> 2
           and coalesce(new.deliver_at not between timestamptz '1970-01-01 00:00Z' and timestamptz '2500-01-01 00:00Z', true)
        then 'its deliver_at must be a time from 1970 to 2500'
      when char_length(new.timer_token) not between 1 and 256 then 'its timer_token must be 1 to 256 characters'
    end;
  end if;
  if problem is not null then
    raise exception using errcode = 'WB006', detail = new.topic, message = problem;
  end if;
  return new;
end
$$;
