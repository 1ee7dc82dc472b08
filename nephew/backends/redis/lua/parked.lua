-- Jobs that are parked, in the order of their places.
--
-- ARGV: how many are left out, how many are wanted.
-- Returns their ids.
-- Reads parked.

return try('ZRANGE', key('parked'), ARGV[1], ARGV[1] + ARGV[2] - 1) or {}
