--! uses job, claims, events, moves, workers
-- A worker ends in peace: what it holds goes back to where it waited, uncounted; what it has begun and may not be
-- begun again is nobody's.
--
-- ARGV: worker, why it ends, most events kept.
-- Reads jobs, once, narrow, followed; writes workers, incarnations, beats, settled, taken, held:<worker>, held:0,
-- running, marks, q:<queue>, queues, bell, bell:<queue>, scheduled, retrying, parked, event, events; tells `wake` and
-- `ended`.

if not is_known(ARGV[1]) then
    return
end
local held, events = sign_off(ARGV[1]), {}
for i = 1, #held, 2 do
    if is_once(held[i]) then
        hold(NOBODY, held[i + 1], {held[i]})
    else
        local begun, state = give_back(held[i])
        events[#events + 1] = begun and happened(held[i], state, nil, ARGV[2]) or nil
    end
end
tell_events(events, ARGV[3], now())
