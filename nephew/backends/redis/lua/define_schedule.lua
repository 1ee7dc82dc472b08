--! uses schedules
-- Store what a schedule is from now on.
--
-- ARGV: schedule, seen ('': as it is, or now if it is new), definition, payload, added; '' for nothing.
-- Writes plan:<what>, control; tells `wake`.

local schedule, seen = ARGV[1], ARGV[2]
if seen ~= '' or not of_schedule('seen', schedule) then
    seen = seen ~= '' and seen or now()
    set_of_schedule('seen', schedule, seen)
    set_of_schedule('since', schedule, seen)
end
for i, what in ipairs({'definition', 'payload', 'added'}) do
    set_of_schedule(what, schedule, ARGV[i + 2])
end
control_changed()
