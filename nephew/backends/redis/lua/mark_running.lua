--! uses job, claims, events, running
-- Note what is being run, where the claims hold.
--
-- ARGV: worker, most events kept, then for each place, claim, since when.
-- Reads held:<worker>, jobs; writes running, event, events.

local events = {}
for i = 3, #ARGV, 3 do
    local id = held_at(ARGV[1], ARGV[i], ARGV[i + 1])
    events[#events + 1] = id and begin(id, ARGV[i + 2])
end
tell_events(events, ARGV[2], now())
