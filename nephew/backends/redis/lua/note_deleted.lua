--! uses job
-- Note that ended jobs are about to be deleted, should they be on their way into the archive.
--
-- ARGV: seconds that it is remembered, then ids.
-- Reads jobs, ended:<state>; writes deleted.

local ids = {}
for i = 2, #ARGV do
    if redis.call('HEXISTS', key('jobs'), ARGV[i]) == 1 and ended_as(ARGV[i]) then
        ids[#ids + 1] = ARGV[i]
    end
end
if #ids > 0 then
    many('SADD', key('deleted'), ids)
    redis.call('EXPIRE', key('deleted'), ARGV[1])
end
return #ids
