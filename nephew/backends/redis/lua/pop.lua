--! uses job, ends, data
-- Take data, or else the result of a job.
--
-- ARGV: key.
-- Returns its value, or nil.
-- Reads jobs, slots; writes data or revoked, data_until, ends:<slot>.

local value = datum(ARGV[1])
drop_datum(ARGV[1])
return value or take_result(ARGV[1])
