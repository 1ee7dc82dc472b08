--! uses job, held
-- The ids of the jobs that are in somebody's hand.
--
-- Reads workers, held:<worker>.

return all_held()
