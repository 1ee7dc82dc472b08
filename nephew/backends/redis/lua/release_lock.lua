-- Give a lock up, or break it.
--
-- ARGV: '1' if it may have been done before, else ''; lock, owner ('': whoever holds it).
-- Returns whether it was held by that owner; if it may have been done before: whether it is not any more.
-- Writes lock:<lock>, locks.

local again, name, owner = ARGV[1], ARGV[2], ARGV[3]
local lock = key('lock', name)
local holder = redis.call('HGET', lock, 'owner')
if not holder or (owner ~= '' and holder ~= owner) then
    return again == '1' and 1 or 0
end
redis.call('DEL', lock)
redis.call('SREM', key('locks'), name)
return 1
