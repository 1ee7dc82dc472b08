--! uses job, moves
-- Which jobs have waited for longer than they should.
--
-- ARGV: the most ids.
-- Returns their ids.
-- Reads expiring, parked, jobs, marks, q:<queue>, scheduled, retrying.

local limit, STEP = tonumber(ARGV[1]), 1000
local moment, ids, looked = '(' .. now(), {}, 0
while true do
    local found = try('ZRANGEBYSCORE', key('expiring'), '-inf', moment, 'LIMIT', looked, STEP) or {}
    if #found == 0 then
        return ids
    end
    looked = looked + #found
    local parked = try('ZMSCORE', key('parked'), unpack(found)) or {}  -- there may be many, for weeks
    for i, id in ipairs(found) do
        if not parked[i] and waits_in(id) then
            ids[#ids + 1] = id
            if #ids == limit then
                return ids
            end
        end
    end
end
