-- Deletes the charges of records that are now done.
-- Params: none
-- Returns: none
-- Index: consumer_position_newest
delete from :schema.crash_charge c
 where c.log_offset < (select p.position from :schema.consumer_position p
                        where p.group_id = c.group_id and p.partition_id = c.partition_id
                        order by p.owner_epoch desc, p.position desc, p.id desc limit 1);
