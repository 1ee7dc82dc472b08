--! uses job, claims, moves, workers
-- A worker ends in peace: what it holds goes back to where it waited, uncounted; what it has begun and may not be
-- begun again is nobody's.
--
-- ARGV: worker.
-- Writes workers, incarnations, beats, settled, held:<worker>, held:0, running, marks, q:<queue>, queues, scheduled,
-- retrying, parked; tells `wake`.

if not is_known(ARGV[1]) then
    return
end
local held = sign_off(ARGV[1])
for i = 1, #held, 2 do
    if is_once(held[i]) then
        hold(NOBODY, held[i + 1], {held[i]})
    else
        give_back(held[i])
    end
end
