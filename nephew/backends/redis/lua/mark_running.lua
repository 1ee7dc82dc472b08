--! uses job, claims, events, workers, running
-- Note what is being run, where the claims hold.
--
-- ARGV: worker, most events kept, then for each place, claim, since when.
-- Reads held:<worker>, jobs, marks, workers, followed; writes running, event, events; tells `ended`.

local events = {}
for i = 3, #ARGV, 3 do
    local id = held_at(ARGV[1], ARGV[i], ARGV[i + 1])
    events[#events + 1] = id and begin(ARGV[1], id, ARGV[i + 2])
end
tell_events(events, ARGV[2], now())
