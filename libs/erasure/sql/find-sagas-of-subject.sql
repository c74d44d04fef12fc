-- Active sagas of a subject.
-- Params: subjectHash text
-- Returns: id uuid, type text
select s.id, s.saga_type as type from :schema.saga s where s.state <= 3 and s.content->>'subject'::text = $1 order by s.id;
