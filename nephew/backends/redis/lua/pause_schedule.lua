--! uses schedules
-- Pause a schedule, or resume it.
--
-- ARGV: schedule, when it is paused ('': it is resumed).
-- Returns whether that is new.
-- Reads and writes plan:<what>, control; tells `wake`.

local schedule, paused_at = ARGV[1], ARGV[2]
local is_paused = of_schedule('paused_at', schedule) and true or false
if not of_schedule('seen', schedule) or is_paused == (paused_at ~= '') then
    return 0
end
set_of_schedule('paused_at', schedule, paused_at)
control_changed()
return 1
