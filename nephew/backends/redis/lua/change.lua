--! uses job, moves
-- Change a job that waits and that no worker holds.
--
-- ARGV: id, then priority, queue, eta and when it expires (`inf`: never); '' leaves what it is.
-- Returns 1; 0 when it does not wait.
-- Reads narrow; writes marks, q:<queue>, queues, bell, bell:<queue>, scheduled, retrying, parked, expiring, place,
-- jobs; tells `wake`.

local id, priority, queue, eta, expires = unpack(ARGV, 1, 5)
local state = waits_in(id)
if not state or state == 'parked' then
    return 0
end

take_out(id)
local marks = marks_of(id)
for word, value in pairs({priority = priority, queue = queue, eta = eta, expires_at = expires}) do
    if value ~= '' then
        marks[word] = value
    end
end
write_marks(id, marks)
if expires == 'inf' then
    redis.call('ZREM', key('expiring'), id)
elseif expires ~= '' then
    redis.call('ZADD', key('expiring'), expires, id)
end

if eta == '' then
    wait_as(id, state)
elseif tonumber(eta) > tonumber(now()) then
    wait_as(id, state == 'retrying' and state or 'scheduled')
elseif state == 'queued' then
    wait_as(id, state)
else
    to_the_back(id)
end
return 1
