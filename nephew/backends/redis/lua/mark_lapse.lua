--! uses schedules
-- Change the mark of a schedule's dead-man's switch, where it is what it is thought to be.
--
-- ARGV: '1' if it may have been done before, else ''; schedule, the mark as it was, and as it is to be; '' for none.
-- Returns whether it is so now, and was not before.
-- Reads and writes plan:<what>.

local again, schedule, was, to_be = ARGV[1] == '1', ARGV[2], ARGV[3], ARGV[4]
if not of_schedule('seen', schedule) then
    return 0
end
local is = of_schedule('lapse', schedule) or ''
if is ~= was then
    return again and is == to_be and 1 or 0
end
set_of_schedule('lapse', schedule, to_be)
return 1
